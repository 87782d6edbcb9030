"""Which clips show one place, and what each clip is seen against."""
