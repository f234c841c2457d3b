internal import LogModel

// The system's journal.
extension SettingDefinition {
    static let journal = [
        SettingDefinition(
            key: .journal,
            section: .journal,
            standard: .text("auto"),
            explanation: "Whether the system's journal is read: auto reads it when the daemon is allowed to.",
            allowed: JournalReading.allCases.map(\.rawValue).joined(separator: ", "),
            read: { (draft, text) throws(ValueProblem) in
                draft.journal = try Value.word(text, of: JournalReading.self)
            },
            show: { $0.journal.rawValue }
        ),
        SettingDefinition(
            key: .journalUnits,
            section: .journal,
            standard: .unset,
            explanation: "Only these units, such as nginx,ssh.service; empty reads all, and what belongs to none.",
            allowed: "names of units, up to \(JournalSettings.unitCountMax), with commas between them",
            read: { (draft, text) throws(ValueProblem) in draft.journalUnits = try units(text) },
            show: { $0.journalUnits.joined(separator: ",") }
        ),
        SettingDefinition(
            key: .journalPriority,
            section: .journal,
            standard: .unset,
            explanation: "Only entries at least so severe by their journal priority; empty reads all.",
            allowed: "debug, info, notice, warn, error, fatal",
            read: { (draft, text) throws(ValueProblem) in
                let severity = try Severity(settingWord: text)
                guard severity != .trace else { throw ValueProblem("the journal has no level below debug") }
                draft.journalPriority = severity
            },
            show: { $0.journalPriority?.settingWord ?? "" }
        ),
        SettingDefinition(
            key: .journalLookback,
            section: .journal,
            standard: .text("24h"),
            explanation: "How far back the journal is read at the very first start.",
            allowed: "0 to 87600h: seconds, or with s, m or h",
            read: { (draft, text) throws(ValueProblem) in
                draft.journalLookback = try Value.seconds(text, in: Bounds.journalLookback)
            },
            show: { String($0.journalLookback) }
        ),
        SettingDefinition(
            key: .journalWait,
            section: .journal,
            standard: .text("1h"),
            explanation:
                "After a power cut only PostgreSQL may know how far the journal was counted: how long it is waited for.",
            allowed: "0 to 24h: seconds, or with s, m or h",
            read: { (draft, text) throws(ValueProblem) in
                draft.journalWait = try Value.seconds(text, in: Bounds.journalWait)
            },
            show: { String($0.journalWait) }
        ),
        SettingDefinition(
            key: .journalDirectory,
            section: .journal,
            standard: .unset,
            explanation: "A folder with journal files to read in place of the system's own journal.",
            allowed: "an absolute path",
            read: { (draft, text) throws(ValueProblem) in draft.journalDirectory = try Value.absolutePath(text) },
            show: { $0.journalDirectory ?? "" }
        ),
    ]

    /// `nginx` is `nginx.service`, as systemctl has it. Letters of unit names: systemd.unit(5).
    private static func units(_ text: String) throws(ValueProblem) -> [String] {
        var units: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = part.trimmed
            guard !word.isEmpty else { throw ValueProblem("a unit is missing beside a comma") }
            let isName = word.utf8.allSatisfy { byte in
                let letter = byte | 0x20
                return letter >= 0x61 && letter <= 0x7A || byte >= 0x30 && byte <= 0x39 || ":-_.\\@".utf8.contains(byte)
            }
            guard isName, word.utf8.count <= 250 else { throw ValueProblem("\(quoted(word)) is no name of a unit") }
            let unit = word.contains(".") ? word : word + ".service"
            if !units.contains(unit) { units.append(unit) }
        }
        guard units.count <= JournalSettings.unitCountMax else {
            throw ValueProblem("\(units.count) units are too many")
        }
        return units
    }
}
