// Package hub is the map of the referral hub; the code is in the packages below it. Why it is built so is in DESIGN.md beside this
// file, and walls_test.go holds the imports to the floors.
//
// # Floors
//
// Imports point down only.
//
//	6  cmd/hub   cmd/partner                     flags, signals: thin mains
//	5  hub/server                                the composition root: builds, runs, drains; the configuration and the keys
//	4  hub/api                                   HTTP in, and the same submit over NATS; problem documents
//	3½ hub/exchange                              the use cases, each an operation in a shared commit
//	   hub/tables                                what is stored beside the log, held against the log: every kind of row
//	   hub/rights                                what people do about a person's rights, complaints, incidents: cases, and notices to recipients
//	3  hub/bus  hub/delivery  adapters/*         JetStream; attempts, back-off, circuits; one adapter for each protocol
//	   hub/replay                                decisions made again from the log: drift, a proposal over the past, what clauses carried
//	   hub/report                                what was found in the log, as CSV, JSON, FHIR AuditEvent and pages to print
//	   hub/traffic                               flows as they were, from the log, against those that are declared
//	2  hub/ledger (+audit, receipt, witness)  hub/store  hub/seal  the disclosure log and its auditor; durable state on two engines; sealing
//	   hub/watch                                 what is unusual in the log, as flags; pure
//	1  hub/policy  hub/agreement  hub/consent  hub/dataset  hub/auth    pure: no I/O, no clock
//	   hub/casebook                                                     the cases beside the agreements, played through policy
//	0  hub/transfer  contracts  sharing-agreements                      vocabulary; schemas and their compiler; agreements
//	   hub/dates                                                        the days that the law counts, and bank holidays
//
// # A reader's order
//
// To know what the hub decides:
//
//  1. hub/transfer: the nouns, and the states of a transfer.
//  2. contracts (README.md first): a message, its people and its items; sets of items as bits.
//  3. hub/agreement: the file format, in the package comment; then sharing-agreements for the real ones and their cases.
//  4. hub/consent: events, and what they come to for one transfer at one instant.
//  5. hub/policy: Decide, and the gates in order.
//  6. hub/dataset: the cut.
//
// To know that nothing leaves unseen:
//
//  7. hub/ledger (FORMAT.md first): leaf, tree, checkpoint, proofs; hub/ledger/audit for what makes a log whole; receipt and witness
//     for what others hold in their hands.
//  8. hub/seal and hub/store: what is kept, and how it goes.
//  9. hub/exchange: submit.go, then release.go. Here a decision, the log and the state of a transfer meet, and nowhere else.
//  10. hub/delivery: Parcel, the one thing that an adapter can carry; then the worker.
//
// To know what the log is good for:
//
//  11. hub/exchange: search.go, who received what; act.go, how other packages join a commit.
//  12. hub/rights: case.go and procedure.go, then a file for each right; hub/watch, hub/report and hub/traffic beside it.
//  13. hub/tables: why nobody changes a row unseen.
//
// To know how it runs:
//
//  14. hub/bus, hub/auth, hub/api, in any order.
//  15. hub/server: all of it in a few hundred lines, in the order of the floors.
//  16. cmd/hub/demo.go and demoweek.go: a story with every part in it; hub/server's story tests tell more of them.
//
// # Laws
//
// Where each is kept:
//
//   - No leaf, no exit: delivery.NewParcel asks for a release leaf, and exchange.release calls it after the commit of that leaf.
//   - Every release is a fresh decision: collecting, pushing and trying again all pass exchange.release.
//   - Deny by default: agreement.Index finds what is declared, and policy.Decide strips what is not listed.
//   - The machine never looks for a basis on which a no does not count: policy chooses a clause before it looks at what people said.
//   - No personal data in leaves, logs, URLs and subjects: leaves hold commitments and names of items; adapters' errors are their own
//     words; ids in paths are the hub's.
//   - Final adverse results are a person's: exchange puts them into queues, and rights makes a task of what it stops.
//   - The log is append-only and the person erasable: seal.Commitment is over a salt that can be destroyed, seal.Digest under a key
//     that can.
//   - One effect: a message id is a unique key of the store, and its answer is read back from the leaf that was its decision.
package hub
