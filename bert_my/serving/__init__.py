"""SavedModel export and loading."""
