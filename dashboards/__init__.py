"""The Streamlit dashboard: pages read lifts and lay them out; charts are pure."""
