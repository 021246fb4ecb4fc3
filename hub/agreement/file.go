package agreement

// The structs here are the shape of the files, as their authors write them; the package comment explains every key.

type registerFile struct {
	place
	Partners []partnerEntry `yaml:"partners,required"`
}

type partnerEntry struct {
	place
	ID        text          `yaml:"id,required"`
	Name      text          `yaml:"name,required"`
	Kind      text          `yaml:"kind,required"`
	ODS       text          `yaml:"ods"`
	Charity   text          `yaml:"charity"`
	Company   text          `yaml:"company"`
	ICO       text          `yaml:"ico,required"`
	DPL       partnerDPL    `yaml:"dpl,required"`
	Location  text          `yaml:"location,required"`
	Safeguard text          `yaml:"safeguard"`
	Suspended text          `yaml:"suspended"`
	Systems   []systemEntry `yaml:"systems"`
	Delivery  deliveryEntry `yaml:"delivery"`
	Successor text          `yaml:"successor"`
	Profile   profileEntry  `yaml:"profile"`
	DSPT      *dsptEntry    `yaml:"dspt"`
	People    []personEntry `yaml:"people"`
	Functions []text        `yaml:"functions"`
}

type profileEntry struct {
	SpecialOnLegalGrounds flag   `yaml:"special_on_legal_grounds"`
	ParentBelow           number `yaml:"parent_below"`
	Complaints            text   `yaml:"complaints"`
}

type dsptEntry struct {
	place
	Status  text `yaml:"status,required"`
	Expires date `yaml:"expires,required"`
}

type personEntry struct {
	place
	ID     text   `yaml:"id,required"`
	Office text   `yaml:"office,required"`
	Roles  []text `yaml:"roles,required"`
}

type partnerDPL struct {
	place
	Name  text `yaml:"name,required"`
	Email text `yaml:"email,required"`
	Phone text `yaml:"phone"`
}

type systemEntry struct {
	place
	ID         text   `yaml:"id,required"`
	Algorithms []text `yaml:"algorithms,required"`
	Scopes     []text `yaml:"scopes,required"`
}

type deliveryEntry struct {
	place
	Adapter text `yaml:"adapter,required"`
	URL     text `yaml:"url"`
}

type agreementFile struct {
	place
	Agreement    text             `yaml:"agreement,required"`
	Version      number           `yaml:"version,required"`
	Title        text             `yaml:"title,required"`
	County       text             `yaml:"county,required"`
	Status       text             `yaml:"status,required"`
	Lead         text             `yaml:"lead,required"`
	Supersedes   text             `yaml:"supersedes"`
	Paper        paperEntry       `yaml:"paper,required"`
	Source       []sourceEntry    `yaml:"source"`
	Starts       date             `yaml:"starts,required"`
	Ends         date             `yaml:"ends"`
	ReviewBy     date             `yaml:"review_by,required"`
	Contract     *contractEntry   `yaml:"contract"`
	Parties      []partyEntry     `yaml:"parties,required"`
	Groups       []groupEntry     `yaml:"groups"`
	Purposes     []purposeEntry   `yaml:"purposes,required"`
	ItemSets     []itemSetEntry   `yaml:"item_sets"`
	Flows        []flowEntry      `yaml:"flows,required"`
	Retention    []retentionEntry `yaml:"retention,required"`
	Transparency []noticeEntry    `yaml:"transparency"`
	Accuracy     accuracyEntry    `yaml:"accuracy"`
	Security     securityEntry    `yaml:"security"`
	Rights       rightsEntry      `yaml:"rights"`
	Complaints   complaintsEntry  `yaml:"complaints"`
	Breach       breachEntry      `yaml:"breach"`
	Governance   governanceEntry  `yaml:"governance"`
}

type paperEntry struct {
	place
	Reference text `yaml:"reference,required"`
	SHA256    text `yaml:"sha256,required"`
	SignedOn  date `yaml:"signed_on,required"`
}

type sourceEntry struct {
	Notice text   `yaml:"notice,required"`
	Rules  []text `yaml:"rules"`
}

type contractEntry struct {
	Reference text `yaml:"reference,required"`
	Ends      date `yaml:"ends,required"`
}

type partyEntry struct {
	place
	Partner   text         `yaml:"partner,required"`
	Role      text         `yaml:"role,required"`
	Direction text         `yaml:"direction,required"`
	Signatory text         `yaml:"signatory"`
	Contact   contactEntry `yaml:"contact"`
}

type contactEntry struct {
	Office text `yaml:"office"`
	Email  text `yaml:"email"`
	Phone  text `yaml:"phone"`
}

type groupEntry struct {
	Name     text   `yaml:",key"`
	Delivers text   `yaml:"delivers"`
	Partners []text `yaml:"partners,required"`
}

type purposeEntry struct {
	Code       text         `yaml:",key"`
	Aim        text         `yaml:"aim,required"`
	Necessity  text         `yaml:"necessity,required"`
	Benefits   text         `yaml:"benefits"`
	Basis      basisEntry   `yaml:"basis,required"`
	BeyondCare *flag        `yaml:"beyond_care"`
	OptOut     text         `yaml:"opt_out"`
	Prohibited []text       `yaml:"prohibited"`
	Consent    consentEntry `yaml:"consent"`
}

// basisWords are the words of a basis; a party that relies on something else says all of its own again.
type basisWords struct {
	place
	Article6        text `yaml:"article6,required"`
	Article9        text `yaml:"article9"`
	Schedule1       text `yaml:"schedule1"`
	Offence         text `yaml:"offence"`
	APD             text `yaml:"apd"`
	LIA             text `yaml:"lia"`
	Confidentiality text `yaml:"confidentiality"`
	Statute         text `yaml:"statute"`
}

type basisEntry struct {
	basisWords
	PerParty []partyBasisEntry `yaml:"per_party"`
}

type partyBasisEntry struct {
	basisWords
	Party text `yaml:",key"`
}

type consentEntry struct {
	Form         text `yaml:"form"`
	OnRefusal    text `yaml:"on_refusal"`
	OnWithdrawal text `yaml:"on_withdrawal"`
}

// itemSet lists items by the role of the person they are about.
type itemSet struct {
	place
	Message      text       `yaml:"message"`
	Carer        *roleItems `yaml:"carer"`
	CaredFor     *roleItems `yaml:"cared_for"`
	Child        *roleItems `yaml:"child"`
	Household    *roleItems `yaml:"household"`
	AbsentParent *roleItems `yaml:"absent_parent"`
	Professional *roleItems `yaml:"professional"`
	Nobody       *roleItems `yaml:"nobody"`
}

type itemSetEntry struct {
	itemSet
	Name text `yaml:",key"`
}

type roleItems struct {
	place
	Required    []text           `yaml:"required"`
	Allowed     []text           `yaml:"allowed"`
	Transformed []transformEntry `yaml:"transformed"`
}

type transformEntry struct {
	Item text `yaml:",key"`
	How  text `yaml:",scalar"`
}

type flowEntry struct {
	place
	ID          text          `yaml:"id,required"`
	From        []text        `yaml:"from,required"`
	To          []text        `yaml:"to,required"`
	Messages    []text        `yaml:"messages,required"`
	Purpose     text          `yaml:"purpose,required"`
	Service     text          `yaml:"service"`
	Delivery    text          `yaml:"delivery,required"`
	Items       flowItems     `yaml:"items,required"`
	FreeText    leave         `yaml:"free_text"`
	Attachments leave         `yaml:"attachments"`
	Frequency   text          `yaml:"frequency"`
	When        text          `yaml:"when"`
	Otherwise   text          `yaml:"otherwise"`
	Told        flag          `yaml:"told"`
	Compelled   flag          `yaml:"compelled"`
	Objection   text          `yaml:"objection"`
	Figures     *figuresEntry `yaml:"figures"`
	Onward      *onwardEntry  `yaml:"onward"`
}

// figuresEntry says how counts are blurred.
type figuresEntry struct {
	place
	Below number `yaml:"below,required"`
	Round number `yaml:"round"`
}

// onwardEntry says to whom the recipient may pass on what it gets.
type onwardEntry struct {
	place
	To       []text `yaml:"to,required"`
	Purposes []text `yaml:"purposes"`
}

// flowItems is the name of an item set, or a set written out.
type flowItems struct {
	itemSet
	Name text `yaml:",scalar"`
}

// start is where the items of a clause begin.
func (i *flowItems) start() place {
	if !i.Name.empty() {
		return i.Name.place
	}
	return i.itemSet.place
}

type retentionEntry struct {
	place
	Items    text `yaml:"items"`
	Period   text `yaml:"period,required"`
	Trigger  text `yaml:"trigger,required"`
	Disposal text `yaml:"disposal,required"`
}

type noticeEntry struct {
	Party   text `yaml:"party,required"`
	URL     text `yaml:"url,required"`
	Version text `yaml:"version"`
}

type accuracyEntry struct {
	Responsible text `yaml:"responsible"`
	Corrections text `yaml:"corrections"`
}

type securityEntry struct {
	Transfer   text `yaml:"transfer"`
	Encryption text `yaml:"encryption"`
	Access     text `yaml:"access"`
	Storage    text `yaml:"storage"`
}

type rightsEntry struct {
	PassOn  text         `yaml:"pass_on"`
	Contact contactEntry `yaml:"contact"`
}

type complaintsEntry struct {
	Route   text         `yaml:"route"`
	Contact contactEntry `yaml:"contact"`
}

type breachEntry struct {
	NotifyWithin text         `yaml:"notify_within"`
	ReportsToICO text         `yaml:"reports_to_ico"`
	Contact      contactEntry `yaml:"contact"`
}

type governanceEntry struct {
	ReviewEvery text `yaml:"review_every"`
	Termination text `yaml:"termination"`
	Audit       text `yaml:"audit"`
	Training    text `yaml:"training"`
}
