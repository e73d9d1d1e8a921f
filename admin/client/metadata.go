package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Metadata reads and writes the public and the private metadata of an account.
type Metadata struct{ c *caller }

// A MetadataPatch has a JSON merge patch (RFC 7396) for each object. A patch is any value that encoding/json writes
// as an object. The server removes a member whose value is null. A nil patch leaves the object as it is.
type MetadataPatch struct {
	Public, Private any

	// Version is the version of the metadata that the patch relies on, or nil for any version. If the stored
	// version differs, the metadata does not change and the error has CodeVersionChanged. An account without
	// metadata has version 0.
	Version *int64
}

var errNoMetadata = errors.New("client: the server has no metadata of accounts")

// Get returns both objects and their version.
func (m Metadata) Get(ctx context.Context, user string) (AdminMetadataAnswer, error) {
	detail, err := Users(m).Get(ctx, user)
	if err != nil {
		return AdminMetadataAnswer{}, err
	}
	if detail.Metadata == nil {
		return AdminMetadataAnswer{}, errNoMetadata
	}
	return *detail.Metadata, nil
}

// Patch changes one object or both, and returns both objects after the change.
func (m Metadata) Patch(ctx context.Context, user string, p MetadataPatch) (AdminMetadataAnswer, error) {
	body := AdminMetadata{}
	for _, part := range []struct {
		patch any
		to    *json.RawMessage
	}{{p.Public, &body.Public}, {p.Private, &body.Private}} {
		if part.patch == nil {
			continue
		}
		text, err := json.Marshal(part.patch)
		if err != nil {
			return AdminMetadataAnswer{}, fmt.Errorf("client: encode metadata: %w", err)
		}
		*part.to = text
	}
	r := request{pathIDs: []string{user}, body: AdminChange{Metadata: &body}}
	if p.Version != nil {
		r.ifMatch = fmt.Sprintf(`"%d"`, *p.Version)
	}
	answer, err := callWithRetry[AdminUserAnswer](ctx, m.c, patchAdminUsersByID, r)
	if err != nil {
		return AdminMetadataAnswer{}, err
	}
	if answer.Metadata == nil {
		return AdminMetadataAnswer{}, errNoMetadata
	}
	return *answer.Metadata, nil
}
