package envelope

// What the tests see of the package's inside.
const MaxKeyFile = maxKeyFile

var (
	CheckJSON     = checkJSON
	Pae           = pae
	ReadGoldenRow = goldenRow
)

// Encode returns the manifest's JSON.
func (m Manifest) Encode() ([]byte, error) { return m.encode() }
