"""Pictures of results: contact sheets and plots."""
