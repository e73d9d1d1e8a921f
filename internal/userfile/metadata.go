package userfile

import (
	"encoding/json"

	"github.com/watchword-auth/watchword/internal/metadata"
)

// The metadata of an account are two JSON objects of an application. Their members are not columns: {"disabled":
// true} in such an object does not mean that the account is disabled.

// objectsAsText replaces metadata objects with their JSON text, so that no rule for columns applies to their members.
func (c *columns) objectsAsText(values map[string]any) {
	for name, value := range values {
		_, object := value.(map[string]any)
		if object && (c.serves(name, PublicMetadata) || c.serves(name, PrivateMetadata)) {
			values[name] = textOfObject(value)
		}
	}
}

func textOfObject(value any) string {
	raw, _ := json.Marshal(value) //nolint:errchkjson // can't fail: it was decoded from JSON
	return string(raw)
}

// metadata reads the public and the private object. A value that is not an object is a problem, because it would be
// lost silently.
func (r *reading) metadata() {
	for field, into := range map[Field]*string{PublicMetadata: &r.row.Public, PrivateMetadata: &r.row.Private} {
		pick, ok := r.pick(field)
		if !ok || absent(pick.value) {
			continue
		}
		text, isText := pick.value.(string)
		if !isText {
			text = textOfObject(pick.value) // objectsAsText misses a column with dots in its name
		}
		object, err := metadata.Merge("", text)
		if err != nil {
			r.problem(field, err.Error()+". --"+flags[field]+"=- leaves it out")
			continue
		}
		*into = object
	}
}

// flags contains the command-line flag that names the column of each field.
var flags = map[Field]string{PublicMetadata: "public-metadata", PrivateMetadata: "private-metadata"}
