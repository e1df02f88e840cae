"""Assets, partitions, sensor, jobs, schedules and resources, inside real Dagster instances."""
