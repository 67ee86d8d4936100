"""The command line: verbs over the use cases. It decides nothing."""
