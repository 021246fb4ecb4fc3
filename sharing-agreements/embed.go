// Package sharingagreements holds the declared data-sharing agreements and the partner register, one folder for each county.
// The README beside this file says how to write one; hub/agreement reads them.
package sharingagreements

import "embed"

// Files holds every county's partners.yaml, agreements and cases, as agreement.Load and casebook.Load read them.
//
//go:embed */partners.yaml */agreements/*.yaml */cases/*.yaml
var Files embed.FS
