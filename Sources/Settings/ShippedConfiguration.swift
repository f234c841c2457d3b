/// The text of `packaging/logboom.conf`, the file the package installs: every key with its default, commented out. Made from
/// the table, so that it cannot say anything else than the program does; a test compares the two.
package enum ShippedConfiguration {
    /// UTF-8, lines of at most 120 characters, ends with a line end.
    package static var text: String {
        var lines = [
            "# Logboom: the configuration of logboomd. Every key is here with its default; remove a leading # to change one.",
            "#",
            "# Read in this order, a later one over an earlier one: this file, \(SettingsSource.standardPath).d/*.conf,",
            "# the environment, and flags (logboomd --set KEY=VALUE). KEY= with nothing after it means the default.",
            "# Syntax as in systemd's EnvironmentFile=: comments start a line, values may be quoted.",
            "#",
            "# After a change: systemctl reload logboomd, for keys marked [reload]; systemctl restart logboomd, for all.",
            "# To see every value and where it comes from: logboom config. To check a file: logboom config --check FILE",
        ]
        for section in SettingDefinition.Section.allCases {
            lines += ["", "", "# \(section.rawValue)"]
            for definition in SettingDefinition.table where definition.section == section {
                lines.append("")
                lines.append("# \(definition.explanation)\(definition.reload == nil ? "" : " [reload]")")
                lines.append("# Allowed: \(definition.allowed).")
                lines.append("#\(definition.key.rawValue)=\(definition.standard.shown)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The table of keys in `docs/formats/configuration.md`, in Markdown; ends with a line end.
    package static var markdownTable: String {
        var lines = ["| key | default | allowed | what it does | SIGHUP |", "| --- | --- | --- | --- | --- |"]
        for definition in SettingDefinition.table {
            let standard = definition.standard.shown.isEmpty ? "unset" : "`\(definition.standard.shown)`"
            lines.append(
                "| `\(definition.key.rawValue)` | \(standard) | \(definition.allowed) | \(definition.explanation) | "
                    + "\(definition.reload == nil ? "restart" : "applied") |"
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
