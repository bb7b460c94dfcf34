"""Check of somebody's project before it moves over to this one; changes nothing."""
