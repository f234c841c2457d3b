import ArgumentParser
import JSONBytes
import Settings

/// `logboom config`: every setting and where it comes from, or a check of files.
struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show every setting and where it comes from.",
        discussion: """
            Reads what logboomd would read if it were started here: its files and this environment. Secrets are shown as \
            (set).

            EXAMPLES
              logboom config
              logboom config --json | jq -r '.settings[] | select(.origin != "default") | .key'
              logboom config --check logboom.conf    exit status 78 and all that is wrong with it
            """
    )

    @Flag(help: "Only check: the files named, or, with none, everything that logboomd would read.")
    var check = false
    @Argument(help: ArgumentHelp("Files for --check, a later one over an earlier one.", valueName: "file"))
    var files: [String] = []
    @Option(
        help: ArgumentHelp(
            "Read this file and its .d folder instead of \(SettingsSource.standardPath).",
            valueName: "file"
        )
    )
    var config: String?
    @Option(
        name: .customLong("set"),
        help: ArgumentHelp("Set one key, as logboomd --set does.", valueName: "KEY=VALUE")
    )
    var flags: [String] = []
    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard check || files.isEmpty else {
            throw ValidationError("files go with --check; did you mean --config FILE?")
        }
        guard files.isEmpty || config == nil && flags.isEmpty else {
            throw ValidationError(
                "--check with files looks at nothing else, so --config and --set have no place beside it"
            )
        }
    }

    func run() throws {
        try reporting {
            let result =
                files.isEmpty
                ? SettingsSource(configurationPath: config, flags: flags, environment: Output.environment).load()
                : SettingsSource.check(files)
            if json { Output.standard.write(ConfigReport.json(result) + "\n") }
            switch result {
            case .failure(let problems):
                if !json { Output.error.write(ConfigReport.problems(problems.errors, problems.warnings)) }
                throw CommandFailure(status: .misconfigured, message: "")
            case .success(let loaded):
                if json { return }
                Output.error.write(ConfigReport.problems([], loaded.warnings))
                let text =
                    check
                    ? "The configuration is good.\n"
                    : ConfigReport.lines(loaded, width: Output.standard.columnCount()).joined(separator: "\n") + "\n"
                Output.standard.write(text)
            }
        }
    }
}

/// Settings as they are shown.
enum ConfigReport {
    /// A table of all keys.
    static func lines(_ loaded: LoadedSettings, width: Int?) -> [String] {
        let columns = [
            Table.Column(title: "KEY", widthMax: 30), Table.Column(title: "VALUE", widthMax: nil),
            Table.Column(title: "ORIGIN", widthMax: 60),
        ]
        let rows = loaded.values.map { [$0.key.rawValue, $0.text.isEmpty ? "-" : $0.text, $0.origin.description] }
        return Table(columns: columns, rows: rows).lines(width: width)
    }

    /// One line each, with its line end; errors first.
    static func problems(_ errors: [SettingsProblem], _ warnings: [SettingsProblem]) -> String {
        (errors.map { "error: \($0)" } + warnings.map { "warning: \($0)" })
            .map { DisplayText.clean($0) + "\n" }.joined()
    }

    /// `{"settings":[{"key","value","origin"}],"errors":[…],"warnings":[…]}`; an unset value is `null`.
    static func json(_ result: Result<LoadedSettings, SettingsProblems>) -> String {
        let values: [LoadedSettings.Value]
        let errors: [SettingsProblem]
        let warnings: [SettingsProblem]
        switch result {
        case .success(let loaded): (values, errors, warnings) = (loaded.values, [], loaded.warnings)
        case .failure(let problems): (values, errors, warnings) = ([], problems.errors, problems.warnings)
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("settings")
        writer.beginArray()
        for value in values {
            writer.beginObject()
            writer.key("key")
            writer.string(value.key.rawValue)
            writer.key("value")
            if value.text.isEmpty { writer.null() } else { writer.string(value.text) }
            writer.key("origin")
            writer.string(value.origin.description)
            writer.endObject()
        }
        writer.endArray()
        writer.key("errors")
        writer.beginArray()
        for error in errors { writer.string(error.description) }
        writer.endArray()
        writer.key("warnings")
        writer.beginArray()
        for warning in warnings { writer.string(warning.description) }
        writer.endArray()
        writer.endObject()
        return DisplayText.cleanJSON(writer.bytes)
    }
}
