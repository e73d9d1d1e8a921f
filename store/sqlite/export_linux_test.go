package sqlite

// FindMapping returns the address at which the WAL-index is mapped into memory.
func FindMapping(maps string, inode uint64) uintptr { return findMapping(maps, inode) }
