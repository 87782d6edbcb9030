"""What a finished run says of clips, and in what form others get it."""
