package factors_test

import (
	"testing"

	"github.com/watchword-auth/watchword"
	"github.com/watchword-auth/watchword/factors"
)

// ClearLimits must reset the failure counters of every kind of second factor, for known and for unknown devices. An
// operator calls it for a user who has entered too many wrong codes.
func TestClearLimitsResetsWrongFactors(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		a := r.createAccountWithTOTP(t)
		known := phone
		known.DeviceToken = a.in.DeviceToken
		charge := func(kind factors.Kind, c watchword.Client) error {
			return r.store.Update(t.Context(), func(tx watchword.Tx) error {
				_, err := r.Inside().ChargeFactor(t.Context(), tx,
					watchword.FactorTry{User: a.who.User, Kind: string(kind), Client: c, At: r.clock()})
				return err
			})
		}
		kinds := []factors.Kind{factors.KindTOTP, factors.KindRecovery, factors.KindPasskey}
		for _, kind := range kinds {
			for _, c := range []watchword.Client{phone, known} {
				for range 10 {
					must(t, charge(kind, c))
				}
				wantCode(t, charge(kind, c), watchword.CodeRateLimited)
			}
		}
		must(t, r.Operator().ClearLimits(t.Context(), a.who.User.ID))
		for _, kind := range kinds {
			must(t, charge(kind, phone))
			must(t, charge(kind, known))
		}
	})
}
