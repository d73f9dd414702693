"""When and with what: definitions, jobs, schedules, sensors and the command line."""
