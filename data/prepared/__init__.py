"""Official files turned into arrays in shards, and the store that reads them back."""
