"""Statistics over repetitions, paired differences and the claims that rest on them."""
