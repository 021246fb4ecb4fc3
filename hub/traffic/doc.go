// Package traffic shows the flows of data as they really are, beside those that were agreed. It reads how often leaves of each shape stand in
// the log (ledger.Shape), so that a year of disclosures is counted in the time of a few thousand shapes, and no person is looked at.
//
// The comparison goes both ways:
//
//   - used and not declared: what went by exception, what was given away outside the hub, and clauses whose version does not count (any
//     more) at the day of the comparison. Nothing goes through the hub that was not declared when it went; what somebody has to look at is
//     that it is not declared now, or never was;
//   - declared and not used: who may send to whom, and never did. An agreement that nobody needs is one that nobody reviews;
//   - items that a clause in use lets go and that never went under it (Art 5(1)(c): what nobody needs should not be on the list).
//
// From the same counts comes a record of processing (Art 30 UK GDPR) that says what was disclosed and not what may be, and a picture.
//
// What is counted are releases: a dataset that was collected twice counts twice. Figures come from the log alone, so they are as complete as the
// log is, and what partners send one another elsewhere and do not enter is not among them.
package traffic
