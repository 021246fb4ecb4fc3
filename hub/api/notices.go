package api

import (
	"net/http"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/gorilla/mux"

	"referralhub/hub/auth"
	"referralhub/hub/rights"
)

var noticeID = regexp.MustCompile(`^notice-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func noticeOf(r *http.Request) (string, error) {
	if id := mux.Vars(r)["notice_id"]; noticeID.MatchString(id) {
		return id, nil
	}
	return "", rights.ErrNoNotice
}

// notices lists what a partner has been told to act on, oldest first; the operator sees everybody's.
func (s *server) notices(r *http.Request, by auth.Principal) (answer, error) {
	q := r.URL.Query()
	limit, err := limitOf(r)
	if err != nil {
		return answer{}, err
	}
	in, after, overdue := rights.NoticeState(q.Get("state")), q.Get("after"), q.Get("overdue")
	switch {
	case !slices.Contains([]rights.NoticeState{"", rights.Sent, rights.Received, rights.Actioned, rights.NotActioned}, in):
		return answer{}, invalid("?state", "enum", "no notice is in this state", "use sent, received, actioned or refused, or leave it out for all")
	case overdue != "" && overdue != "1":
		return answer{}, invalid("?overdue", "enum", "this lists what is past its deadline", "write overdue=1, or leave it out for all")
	case after != "" && !noticeID.MatchString(after):
		return answer{}, invalid("?after", "format", "after is the id of a notice", "take it from next of the page before, or leave it out for the first page")
	}
	list, err := s.Rights.Notices(r.Context(), by, rights.WhichNotices{State: in, Overdue: overdue != "", After: after, Limit: limit})
	if err != nil {
		return answer{}, err
	}
	out := map[string]any{"notices": listOf(list)}
	if len(list) == limit {
		out["next"] = list[limit-1].ID
	}
	return answer{body: out}, nil
}

// notice shows a notice, with the place of its leaf: that it is in the log is proved as for any other leaf.
func (s *server) notice(r *http.Request, by auth.Principal) (answer, error) {
	id, err := noticeOf(r)
	if err != nil {
		return answer{}, err
	}
	n, err := s.Rights.Notice(r.Context(), by, id)
	if err != nil {
		return answer{}, err
	}
	return answer{body: n}, nil
}

// answerNotice records what a recipient has done about a notice.
func (s *server) answerNotice(r *http.Request, by auth.Principal) (answer, error) {
	id, err := noticeOf(r)
	if err != nil {
		return answer{}, err
	}
	body, err := s.body(r, s.MaxBodyBytes)
	if err != nil {
		return answer{}, err
	}
	if err := check("notice-answer/1", body); err != nil {
		return answer{}, err
	}
	var in rights.AnswerIn
	if err := json.Unmarshal(body, &in); err != nil {
		return answer{}, unreadable(err)
	}
	n, repeat, err := s.Rights.Answer(r.Context(), by, id, &in, body)
	if err != nil {
		return answer{}, err
	}
	return answer{status: entered(repeat), body: n}, nil
}
