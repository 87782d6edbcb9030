"""What happens to a clip of a plan, from its file to rows of a store, in whichever process."""
