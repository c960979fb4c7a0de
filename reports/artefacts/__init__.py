"""What a report consists of, one file each; `contract` says how one is added."""
