package main

import (
	"encoding/csv"

	"github.com/watchword-auth/watchword"
)

// idMap writes the CSV table of --id-map: old id, new id, address. The file appears when the import
// is complete. It implements userimport.IDMap. Other systems refer to users by the old ids. The
// operator uses the table to update these references. The table pairs ids with addresses, so its
// file is readable only by its owner.
type idMap struct {
	file *newFile
	csv  *csv.Writer
}

// newIDMap fails at once if the path is taken, because an import can take an hour.
func newIDMap(path string) (*idMap, error) {
	file, err := createFile(path)
	if err != nil {
		return nil, err
	}
	m := &idMap{file, csv.NewWriter(file)}
	return m, m.csv.Write([]string{"old id", "new id", "email"})
}

// Add is also called for accounts that exist already, so a repeated import gives the complete
// table.
func (m *idMap) Add(oldID string, u watchword.User) error {
	return m.csv.Write([]string{oldID, string(u.ID), string(u.Email)})
}

// Keep gives the file its final name, which replaces a temporary one. Errors of earlier rows,
// such as a full disk, appear here at the latest, because csv.Writer buffers. The accounts are
// imported by then. Running the import again writes the table.
func (m *idMap) Keep() error {
	m.csv.Flush()
	if err := m.csv.Error(); err != nil {
		return err
	}
	return m.file.keep()
}
