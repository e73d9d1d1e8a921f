package server

import (
	"net/http"
	"slices"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// The account page lists the remembered devices, which are the browsers that skip the second step. The list needs no
// step-up, because the list of sessions names the same browsers. Forgetting a device needs a fresh proof.

// pathDevices is followed by the id of a remembered device.
//
// The account page has no section for remembered devices if the list is empty or the setting is off. While the
// setting is off, stored devices have no effect.
const pathDevices = pathAccount + "/devices/"

// forgetDevicePage asks for confirmation before a browser is forgotten. A device of another account gets the same 404
// as an unknown device.
func (p *accountPages) forgetDevicePage(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	overview, err := p.factors.List(r.Context(), who.User.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(overview.Devices, func(d factors.Device) bool { return d.ID == r.PathValue("id") })
	if i < 0 {
		return notFound(w, r)
	}
	device := overview.Devices[i]
	// The page shows the name that the browser had when it was remembered. A later update of the browser does not
	// change the name.
	return p.showConfirm(w, r, who, "forget", confirmData{Path: pathDevices + device.ID + "/forget",
		Name: p.newView(r, "account").Device(device.Name),
		Text: "forget.text", Button: "remembered.forget"})
}

// forgetDeviceForm does not end the sessions of the browser, because the list of sessions has buttons for that.
func (p *accountPages) forgetDeviceForm(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := p.factors.ForgetDevice(r.Context(), who, r.PathValue("id"), p.clientWithReturn(w, r)); err != nil {
		return p.refuseFactorChange(w, r, who, err)
	}
	// The cookie is not deleted, because this request may come from another browser. Without the row the
	// cookie has no effect, and the browser deletes it on expiry.
	p.redirectToAccount(w, r, "forgotten")
	return nil
}
