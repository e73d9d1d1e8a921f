package userfile

import (
	"encoding/json"

	"github.com/watchword-auth/watchword/internal/metadata"
)

// The metadata of an account are two JSON objects of an application. Their members are not columns: {"disabled":
// true} in such an object does not mean that the account is disabled.

// encodeMetadata replaces metadata objects with their JSON text. Otherwise the rules for columns would also apply to
// the members of these objects.
func (c *columnMapping) encodeMetadata(values map[string]any) {
	for name, value := range values {
		_, object := value.(map[string]any)
		if object && (c.isReadFor(name, PublicMetadata) || c.isReadFor(name, PrivateMetadata)) {
			values[name] = textOfObject(value)
		}
	}
}

func textOfObject(value any) string {
	raw, _ := json.Marshal(value) //nolint:errchkjson // can't fail: it was decoded from JSON
	return string(raw)
}

// readMetadata reads the public and the private object. A value that is not an object is a problem, because it would
// be lost silently.
func (r *rowReader) readMetadata() {
	for field, into := range map[Field]*string{PublicMetadata: &r.row.Public, PrivateMetadata: &r.row.Private} {
		pick, ok := r.pick(field)
		if !ok || isEmpty(pick.value) {
			continue
		}
		text, isText := pick.value.(string)
		if !isText {
			text = textOfObject(pick.value) // encodeMetadata misses a column with dots in its name
		}
		object, err := metadata.Merge("", text)
		if err != nil {
			r.addProblem(field, err.Error()+". --"+metadataFlags[field]+"=- leaves it out")
			continue
		}
		*into = object
	}
}

// metadataFlags contains the command-line flag that names the column of each field.
var metadataFlags = map[Field]string{PublicMetadata: "public-metadata", PrivateMetadata: "private-metadata"}
