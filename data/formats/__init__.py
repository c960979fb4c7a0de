"""One file per on-disk format; `contract` says what such a file must hold."""
