package sqlstore

import "referralhub/hub/store"

const actColumns = `seq, agreement, version, body, log, leaf, mac`

const insertActs = `INSERT INTO agreement_acts (` + actColumns + `) ROWS`

func actRows(in []store.AgreementAct) Columns {
	return Columns{
		column(in, func(a *store.AgreementAct) int64 { return a.Seq }),
		column(in, func(a *store.AgreementAct) string { return string(a.Agreement) }),
		column(in, func(a *store.AgreementAct) int64 { return int64(a.Version) }),
		column(in, func(a *store.AgreementAct) []byte { return blob(a.Body) }),
		column(in, func(a *store.AgreementAct) string { return a.Log }),
		column(in, func(a *store.AgreementAct) int64 { return a.Leaf }),
		column(in, func(a *store.AgreementAct) []byte { return blob(a.MAC) }),
	}
}

const actsAfter = `SELECT ` + actColumns + ` FROM agreement_acts WHERE seq > $1 ORDER BY seq`

func scanAct(row Row, a *store.AgreementAct) error {
	return row.Scan(&a.Seq, &a.Agreement, &a.Version, &a.Body, &a.Log, &a.Leaf, &a.MAC)
}
