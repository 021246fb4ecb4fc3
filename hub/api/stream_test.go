package api

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Whoever gets the first half of an answer must not take it for the whole, though its status was 200.
func TestAnAnswerThatCannotBeFinishedBreaksOff(t *testing.T) {
	for name, fault := range map[string]error{"whole": nil, "broken off": errors.New("the disk is away")} {
		s := &server{Config: Config{Log: slog.New(slog.DiscardHandler)}}
		s.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seconds"}, []string{"route", "status"})
		hub := httptest.NewServer(s.count("export", func(*http.Request) (answer, error) {
			return answer{kind: "text/csv", body: stream(func(w io.Writer) error {
				_, err := io.WriteString(w, "kind,recipient\nrelease,pohwer\n")
				return errors.Join(err, fault)
			})}, nil
		}))
		response, err := http.Get(hub.URL)
		if err == nil {
			_, err = io.ReadAll(response.Body)
			_ = response.Body.Close() // what matters is how the reading ended
		}
		if (err != nil) != (fault != nil) {
			t.Errorf("%s: %v", name, err)
		}
		hub.Close()
	}
}
