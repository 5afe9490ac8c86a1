"""From settings to a record: builds data, models and a method, trains and scores them, and writes the record."""
