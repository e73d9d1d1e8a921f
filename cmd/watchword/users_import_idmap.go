package main

import (
	"encoding/csv"

	"github.com/watchword-auth/watchword"
)

// idMap writes the CSV table of --id-map: old id, new id, address. It implements
// userimport.IDMap. Other systems refer to users by the old ids, and the operator uses the
// table to update these references. The file gets its name when the import is complete. Only
// its owner can read it, because it connects ids with addresses.
type idMap struct {
	file *newFile
	csv  *csv.Writer
}

// newIDMap creates the file and writes the header line. If the path exists already, newIDMap
// returns an error at once, because an import can take an hour.
func newIDMap(path string) (*idMap, error) {
	file, err := createFile(path)
	if err != nil {
		return nil, err
	}
	m := &idMap{file, csv.NewWriter(file)}
	return m, m.csv.Write([]string{"old id", "new id", "email"})
}

// Add writes the row of an account. An import also calls Add for accounts that exist already,
// so that a repeated import writes the complete table.
func (m *idMap) Add(oldID string, u watchword.User) error {
	return m.csv.Write([]string{oldID, string(u.ID), string(u.Email)})
}

// Keep renames the temporary file to its final name. csv.Writer buffers, so Keep may report
// errors of earlier rows, such as a full disk. The accounts are imported by then. If the
// operator runs the import again, it writes the table.
func (m *idMap) Keep() error {
	m.csv.Flush()
	if err := m.csv.Error(); err != nil {
		return err
	}
	return m.file.publish()
}
