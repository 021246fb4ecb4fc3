package policy

// Code is a reason code of the closed vocabulary of domain.md section 4.6.
type Code string

// The reason codes. A code says what kind of thing is wrong; the reason around it says what exactly.
const (
	// The agreement and its parties.
	NoAgreement               Code = "NO_AGREEMENT"                 // no agreement lets this sender send to this recipient
	AgreementNotStarted       Code = "AGREEMENT_NOT_STARTED"        // a draft, not activated, or its first day is still to come
	AgreementExpired          Code = "AGREEMENT_EXPIRED"            // past its end, or terminated
	AgreementSuspended        Code = "AGREEMENT_SUSPENDED"          // suspended, or stopped for its review
	AgreementReviewOverdue    Code = "AGREEMENT_REVIEW_OVERDUE"     // past its review date: a warning, after the grace a hold
	ContractEnded             Code = "CONTRACT_ENDED"               // the service contract that the sharing is for has ended
	PartnerSuspended          Code = "PARTNER_SUSPENDED"            // sender or recipient is off the hub for the time being
	DSPTLapsed                Code = "DSPT_LAPSED"                  // the recipient's Data Security and Protection Toolkit status lapsed
	PurposeNotCovered         Code = "PURPOSE_NOT_COVERED"          // the two share, but not for this purpose or service
	PurposeProhibited         Code = "PURPOSE_PROHIBITED_MARKETING" // marketing or sale: never
	SubjectGroupNotCovered    Code = "SUBJECT_GROUP_NOT_COVERED"    // the agreement lists nothing about this kind of person
	TransferAbroadNoSafeguard Code = "TRANSFER_ABROAD_NO_SAFEGUARD" // processed abroad without adequacy or a safeguard

	// The items.
	ItemNotListed        Code = "ITEM_NOT_LISTED"           // the agreement does not list the item
	RequiredItemStripped Code = "REQUIRED_ITEM_STRIPPED"    // what the recipient cannot do without may not go or is missing
	Article9Missing      Code = "ART9_MISSING"              // special-category data without an Art 9 condition
	Schedule1Mismatch    Code = "ART9_SCH1_MISMATCH"        // an Art 9 condition without the Schedule 1 paragraph it needs
	APDMissing           Code = "APD_MISSING"               // a Schedule 1 condition without its appropriate policy document
	OffenceMissing       Code = "OFFENCE_CONDITION_MISSING" // criminal-offence data without a Schedule 1 condition
	LIAMissing           Code = "LIA_MISSING"               // legitimate interests without an assessment

	// What people have said.
	ConsentNone        Code = "CONSENT_NONE"         // nothing on record that permits it
	ConsentNotExplicit Code = "CONSENT_NOT_EXPLICIT" // no explicit consent that names this special category
	ConsentScope       Code = "CONSENT_SCOPE"        // consent for another purpose, recipient, service or category
	ConsentExpired     Code = "CONSENT_EXPIRED"      // the consent has run out
	ConsentRefused     Code = "CONSENT_REFUSED"      // the person said no
	ConsentWithdrawn   Code = "CONSENT_WITHDRAWN"    // the person has taken consent back
	Objection          Code = "OBJECTION"            // the person objects (Art 21)
	Restricted         Code = "RESTRICTED"           // processing is restricted (Art 18)

	// Who may speak for whom.
	CapacityDoubt            Code = "CAPACITY_DOUBT"               // whether the person can decide this is in doubt
	RepresentativeUnverified Code = "REPRESENTATIVE_UNVERIFIED"    // somebody else decided, and nothing shows that they may
	RepresentativeScope      Code = "REPRESENTATIVE_OUT_OF_SCOPE"  // somebody else decided beyond their power
	ParentalConsentMissing   Code = "PARENTAL_CONSENT_MISSING"     // a child not found competent, and no parent has consented
	ChildParentConflict      Code = "CHILD_PARENT_CONFLICT"        // child and parent disagree, or the parent is the risk
	ThirdPartyNoBasis        Code = "THIRD_PARTY_SUBJECT_NO_BASIS" // somebody else in the message, without consent or basis of their own

	// The basis.
	VitalInterestsCapable      Code = "VITAL_INTERESTS_CAPABLE"      // vital interests of somebody who can consent
	LessIntrusiveAvailable     Code = "LESS_INTRUSIVE_AVAILABLE"     // nobody has shown that there is no less intrusive way
	BasisBNotSubjectContract   Code = "BASIS_B_NOT_SUBJECT_CONTRACT" // a contract with a funder is no contract with the person
	BasisNotAvailable          Code = "BASIS_NOT_AVAILABLE_TO_BODY"  // a body of this kind cannot claim this basis
	ReferrerUndertakingMissing Code = "REFERRER_UNDERTAKING_MISSING" // the referrer does not say on which ground it refers

	// Secondary use.
	NDOOOptedOut    Code = "NDOO_OPTED_OUT"   // the National Data Opt-Out applies
	NDOONotChecked  Code = "NDOO_NOT_CHECKED" // the National Data Opt-Out was not looked up
	NotDeidentified Code = "NOT_DEIDENTIFIED" // secondary use of data that still identifies people
	SmallNumbers    Code = "SMALL_NUMBERS"    // counts so small that they identify people

	// Exceptions, and what the transport refuses.
	ExceptionEmergency    Code = "EXCEPTION_EMERGENCY"    // permitted by a named person: danger to life
	ExceptionSafeguarding Code = "EXCEPTION_SAFEGUARDING" // permitted by a named person: safeguarding
	ExceptionLegal        Code = "EXCEPTION_LEGAL"        // permitted by a named person: an order or a statute
	ExceptionExpired      Code = "EXCEPTION_EXPIRED"      // an exception that has run out
	Duplicate             Code = "DUPLICATE"              // the same request id again
	SignatureInvalid      Code = "SIGNATURE_INVALID"      // the message is not what its sender signed

	// Section 4.6 has no codes for what follows, because its list was drawn up before the rules that these are about were written down as
	// gates: nothing in it says what is wrong.

	// IdentityAmbiguous: the identifiers of one person lead to different people, so that nobody can say whose consent counts.
	// A person looks at it; the hub never merges people by itself.
	IdentityAmbiguous Code = "IDENTITY_AMBIGUOUS"
	// SubjectNotInformed: a public task or recognised legitimate interest covers only what the person was told or reasonably
	// expects (the "inform" cell of section 4.2, rule 003-4), and no privacy notice is on record; or the clause itself asks that they were told.
	SubjectNotInformed Code = "SUBJECT_NOT_INFORMED"

	// What a clause says about when it applies (G4). An agreement lets the two share, so NO_AGREEMENT would send people to look for one.
	ConditionNotMet  Code = "CONDITION_NOT_MET"  // the when: of the clause does not hold for this message
	ConditionUnknown Code = "CONDITION_UNKNOWN"  // the message does not say what the when: asks
	AccessOnly       Code = "ACCESS_ONLY"        // the recipient may look, and gets no copy
	OnwardNotAllowed Code = "ONWARD_NOT_ALLOWED" // the sender received it under a clause that does not let it pass this on
	ObjectionWindow  Code = "OBJECTION_WINDOW"   // the time to object, from the day on which people were told, is not over

	// Safety flags, which beat any agreement, and what people write freely.
	ProtectedAddress Code = "ADDRESS_PROTECTED"   // nobody may learn where this person is
	PerpetratorNamed Code = "ALLEGED_PERPETRATOR" // somebody in the message is said to have harmed somebody else in it
	NotReviewed      Code = "NOT_REVIEWED"        // the clause lets notes or attachments go once somebody has read them, and nobody says so
	ContactInNotes   Code = "CONTACT_IN_NOTES"    // an address or a number typed into notes

	// Who decides (section 4.4).
	NoDecisionMaker Code = "NO_DECISION_MAKER" // the person cannot decide, and nobody who may has done it for them (C3 to C5)
	EarlierRefusal  Code = "EARLIER_REFUSAL"   // a representative agrees to what the person refused while they could decide (C6)
	PersonDeceased  Code = "DECEASED"          // C13

	// Grounds for special-category data that are declared and do not suffice.
	LimbMissing        Code = "CONSENT_LIMB_MISSING" // Sch 1 paras 18, 19: nobody has recorded why it goes without consent
	LegalGroundMissing Code = "LEGAL_GROUND_MISSING" // the sender's own rule asks for more than consent (rule 002-3)

	// Exceptions (section 4.3) that are claimed and do not carry, and demands.
	ExceptionNotShown     Code = "EXCEPTION_NOT_SHOWN"     // what the row asks to be recorded is missing, or who claims it may not
	ExceptionNotAvailable Code = "EXCEPTION_NOT_AVAILABLE" // no row lets this go to a body of this kind
	DemandNotCompelling   Code = "DEMAND_NOT_COMPELLING"   // a request, and nothing that obliges the sender (E5)

	// TurnedDown: a person decided that it does not go.
	TurnedDown Code = "TURNED_DOWN"
)
