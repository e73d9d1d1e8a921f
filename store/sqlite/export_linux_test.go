package sqlite

// FindMapping returns the address of the mapping of a WAL-index.
func FindMapping(maps string, inode uint64) uintptr { return findMapping(maps, inode) }
