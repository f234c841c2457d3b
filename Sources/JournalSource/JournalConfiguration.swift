package import LogModel

/// What of the journal is read.
package struct JournalConfiguration: Sendable {
    /// `nil` is the machine's own journal. Another folder is for tests, and for a journal brought from elsewhere.
    package var directory: String?
    /// Only these units (`_SYSTEMD_UNIT`); empty means all.
    package var units: [String]
    /// Only entries at least so severe; `nil` means all. Entries without a priority are read only with `nil`.
    package var severityMin: Severity?
    /// How far back the first start reads.
    package var lookback: Duration
    /// Who we are, so that our own lines are never read.
    package var identity: OwnIdentity

    package init(
        directory: String? = nil,
        units: [String] = [],
        severityMin: Severity? = nil,
        lookback: Duration = .seconds(86_400),
        identity: OwnIdentity
    ) {
        self.directory = directory
        self.units = units
        self.severityMin = severityMin
        self.lookback = lookback
        self.identity = identity
    }
}

/// By what the daemon knows its own lines in the journal: fields that journald itself sets, which no sender can forge, so that
/// nobody hides behind our name.
package struct OwnIdentity: Sendable {
    /// The unit as packaged.
    package static let unit = "logboomd.service"

    /// Of this process; its child processes write nothing.
    package var processID: Int32
    /// systemd's name for this run of the unit (`INVOCATION_ID`, systemd.exec(5)), whatever the unit is called.
    package var invocationID: String?

    package init(processID: Int32, invocationID: String?) {
        self.processID = processID
        self.invocationID = invocationID
    }
}
