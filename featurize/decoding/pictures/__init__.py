"""Pictures out of files and out of what ffmpeg writes, and the damage that decoders pass over."""
