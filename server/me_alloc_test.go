package server_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// The test counts allocations, because the counts are stable, unlike times. About ten of the allocations belong to
// the recorder of the test. The bound is about a tenth above the current count.
func TestMeAllocatesLittle(t *testing.T) { // not parallel, because it counts allocations
	m := newMeServer(t)
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
