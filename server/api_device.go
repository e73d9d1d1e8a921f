package server

import (
	"net/http"
	"time"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
	"github.com/watchword-auth/watchword/internal/respond"
)

// Remembered devices are browsers that skip the second factor of an account. Like changes of factors, these routes
// need a fresh session. A thief with a stolen session must not see where the owner signs in.

// A deviceBody describes a remembered browser to its owner. It does not contain the token, which only the browser has.
type deviceBody struct {
	ID         string     `json:"id" format:"uuid"`
	Name       string     `json:"name" doc:"Browser and system, as in the list of sessions"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	ExpiresAt  time.Time  `json:"expiresAt"`
}

// A devicesAnswer does not mark the device of the caller, because a session does not record which
// browser opened it.
type devicesAnswer struct {
	Devices []deviceBody `json:"devices" nullable:"false" doc:"Newest first"`
}

// listDevices returns an empty list if the setting for remembered devices is off. The list has no pages, because an
// account has few devices.
func (a *api) listDevices(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	list, err := a.factors.Devices(r.Context(), who)
	if err != nil {
		return err
	}
	answer := devicesAnswer{Devices: []deviceBody{}} // [] in JSON, never null
	// The engine lists no expired devices, even if their rows have not been deleted yet.
	for _, d := range list {
		answer.Devices = append(answer.Devices, newDeviceBody(d))
	}
	return respond.JSON(w, http.StatusOK, answer)
}

// newDeviceBody omits lastUsedAt for a device that has not skipped a factor yet, as newFactorBody does
// for an unused factor.
func newDeviceBody(d factors.Device) deviceBody {
	body := deviceBody{ID: d.ID, Name: d.Name, CreatedAt: d.CreatedAt, ExpiresAt: d.ExpiresAt}
	if !d.LastUsedAt.IsZero() {
		body.LastUsedAt = &d.LastUsedAt
	}
	return body
}

// forgetDevice deletes the row in the store but not the cookie in the browser. Without the row, the cookie has no
// effect.
func (a *api) forgetDevice(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := a.factors.ForgetDevice(r.Context(), who, r.PathValue("id"), a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"The device is forgotten. Its next sign-in needs a code again."})
}

// forgetDevices is for a user who does not know which device was lost. It succeeds even if there is no remembered
// device, so that a front-end need not check first.
func (a *api) forgetDevices(w http.ResponseWriter, r *http.Request, who watchword.Identity) error {
	if err := a.factors.ForgetDevice(r.Context(), who, "", a.clients.readClient(w, r)); err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, messageBody{"All devices are forgotten. Their next sign-in needs a code again."})
}

// deviceRoutes exist even if the setting for remembered devices is off, because a setting must not remove a path that
// clients call.
func (a *api) deviceRoutes() []route {
	if a.factors == nil {
		return nil
	}
	// Only routes for remembered devices are below this path. Sessions have a separate path, although each session
	// also names a device.
	const path = pathAPI + "/devices"
	stepUp := watchword.CodeStepUpRequired
	// Forgetting a device needs a fresh proof, although ending a session does not. A thief with a stolen session
	// could otherwise make the owner's browser ask for a code, and steal that code with a fake page.
	return []route{
		{"GET", path, a.requireToken(a.listDevices), bearer, "List the devices that skip your second factor",
			nil, 200, devicesAnswer{}, join(nil, nil, stepUp)},
		{"DELETE", path + "/{id}", a.requireToken(a.forgetDevice), bearer, "Forget a device",
			nil, 200, messageBody{}, join(nil, nil, stepUp, watchword.CodeNotFound)},
		{"DELETE", path, a.requireToken(a.forgetDevices), bearer, "Forget all devices",
			nil, 200, messageBody{}, join(nil, nil, stepUp)},
	}
}
