package sqlstore

import "referralhub/hub/store"

const insertActs = `INSERT INTO agreement_acts (seq, agreement, version, body, log, leaf) ROWS`

func actRows(in []store.AgreementAct) Columns {
	return Columns{
		column(in, func(a *store.AgreementAct) int64 { return a.Seq }),
		column(in, func(a *store.AgreementAct) string { return string(a.Agreement) }),
		column(in, func(a *store.AgreementAct) int64 { return int64(a.Version) }),
		column(in, func(a *store.AgreementAct) []byte { return blob(a.Body) }),
		column(in, func(a *store.AgreementAct) string { return a.Log }),
		column(in, func(a *store.AgreementAct) int64 { return a.Leaf }),
	}
}

const actsAfter = `SELECT seq, agreement, version, body, log, leaf FROM agreement_acts WHERE seq > $1 ORDER BY seq`

func scanAct(row Row, a *store.AgreementAct) error {
	return row.Scan(&a.Seq, &a.Agreement, &a.Version, &a.Body, &a.Log, &a.Leaf)
}
