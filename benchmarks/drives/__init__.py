"""What a drive of a million files costs the database: `make benchdrives`."""
