"""What people do: claim an item, review it, agree on a pair, audit, publish."""
