"""A function that does not start."""
print("one line:\u2028start", flush=True)
raise SystemExit(4)
