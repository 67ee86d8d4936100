"""The methods of the store, a class for each subject: what was ingested, launched, seen and done, computed."""
