"""Days of a business metric that are unlike the weeks before."""
