/// Where the value of a key came from.
package enum SettingOrigin: Sendable, Equatable, CustomStringConvertible {
    /// Built in.
    case standard
    case file(name: String, line: Int)
    case environment
    /// `--set KEY=VALUE`.
    case flag
    /// A systemd credential, by its path.
    case credential(path: String)
    /// The file that `POSTGRES_PASSWORD_FILE` names.
    case secretFile(path: String)

    package var description: String {
        switch self {
        case .standard: "default"
        case .file(let name, let line): "\(name):\(line)"
        case .environment: "environment"
        case .flag: "flag"
        case .credential(let path): "credential \(path)"
        case .secretFile(let path): "file \(path)"
        }
    }
}

/// One thing that is wrong, or worth a warning, in the configuration. Its description is one line that says where, which
/// key, what is wrong and what is allowed, and never holds a secret.
package struct SettingsProblem: Sendable, Equatable, CustomStringConvertible {
    /// Where it stands; `nil` when it concerns no single place.
    package var origin: SettingOrigin?
    /// The key it concerns, as written; `nil` for a file as a whole or a line that is no assignment.
    package var key: String?
    package var what: String
    /// What would be right, as a phrase: `1 to 100000`.
    package var allowed: String?
    /// The key that was probably meant.
    package var suggestion: String?

    package init(
        origin: SettingOrigin? = nil,
        key: String? = nil,
        _ what: String,
        allowed: String? = nil,
        suggestion: String? = nil
    ) {
        self.origin = origin
        self.key = key
        self.what = what
        self.allowed = allowed
        self.suggestion = suggestion
    }

    package var description: String {
        var text = ""
        if let origin { text += "\(origin): " }
        if let key { text += "\(key): " }
        text += what
        if let allowed { text += "; allowed: \(allowed)" }
        if let suggestion { text += "; did you mean \(suggestion)?" }
        return text
    }
}

/// All that is wrong in one configuration, in the order of the sources. The caller prints every line and exits with
/// ``exitCode``.
package struct SettingsProblems: Error, Sendable, Equatable, CustomStringConvertible {
    /// EX_CONFIG of sysexits(3).
    package static let exitCode: Int32 = 78

    /// Never empty.
    package var errors: [SettingsProblem]
    package var warnings: [SettingsProblem]

    /// One line a problem.
    package var description: String {
        errors.map(\.description).joined(separator: "\n")
    }
}

/// Text from outside as it may be shown in a message: control characters escaped, cut at 64 characters.
func quoted(_ text: String) -> String {
    var shown = "\""
    for scalar in text.unicodeScalars.prefix(64) {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
            shown += "\\u{" + String(scalar.value, radix: 16) + "}"
        default: shown.unicodeScalars.append(scalar)
        }
    }
    return shown + (text.unicodeScalars.count > 64 ? "…\"" : "\"")
}
