package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Counts of allocations are stable, times are not. The recorder of the test makes about ten
// of them. The bound has a reserve of about a tenth.
func TestMeAllocatesLittle(t *testing.T) { // not parallel, because it counts allocations
	m := newMe(t)
	r := m.request()
	n := testing.AllocsPerRun(200, func() {
		w := httptest.NewRecorder()
		if m.handler.ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	})
	t.Logf("%v allocations", n)
	if n > 30 {
		t.Errorf("%v allocations, want at most 30", n)
	}
}
