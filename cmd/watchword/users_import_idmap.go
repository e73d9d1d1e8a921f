package main

import (
	"encoding/csv"

	"github.com/watchword-auth/watchword"
)

// idMap writes the CSV table of --id-map: old id, new id, address. The file appears
// when the import is complete. It implements userimport.IDMap.
type idMap struct {
	file *newFile
	csv  *csv.Writer
}

func newIDMap(path string) (*idMap, error) {
	file, err := createFile(path)
	if err != nil {
		return nil, err
	}
	m := &idMap{file, csv.NewWriter(file)}
	return m, m.csv.Write([]string{"old id", "new id", "email"})
}

func (m *idMap) Add(oldID string, u watchword.User) error {
	return m.csv.Write([]string{oldID, string(u.ID), string(u.Email)})
}

func (m *idMap) Keep() error {
	m.csv.Flush()
	if err := m.csv.Error(); err != nil {
		return err
	}
	return m.file.keep()
}
