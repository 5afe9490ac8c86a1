"""From settings to a record: data, models and a method are built, trained, scored and written down."""
