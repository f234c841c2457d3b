/// What `logboomd` was started to do. The daemon has too few options for a library of them.
package enum DaemonCommand: Sendable {
    /// Run with these settings; `checkOnly`: load them, report, and exit.
    case run(SettingsSource, checkOnly: Bool)
    case help
    case version
    /// Print this to standard error and exit with EX_USAGE, 64 (sysexits(3)).
    case misused(String)

    /// What `logboomd --help` prints.
    package static let helpText = """
        logboomd: gathers log messages into counted patterns and delivers them.

        Usage: logboomd [--config FILE] [--set KEY=VALUE]... [--check]

          --config FILE      read FILE and FILE.d/*.conf instead of \(SettingsSource.standardPath)
          --set KEY=VALUE    set one key, over files and environment; may be repeated
          --check            read the configuration, say what is wrong with it, and exit (78 when something is)
          --version          print the version
          --help             print this

        Every key with its default is in \(SettingsSource.standardPath); "logboom config" shows what is in force.
        Runs in the foreground. SIGTERM delivers what is held and stops, SIGHUP reads the configuration again.

        Example: LISTEN=127.0.0.1:8004 STATE_DIRECTORY=/tmp/logboom logboomd --set LOG_LEVEL=debug

        """

    /// Reads the arguments after the program's name.
    package static func parse(_ arguments: [String], environment: [String: String], isRoot: Bool) -> DaemonCommand {
        var source = SettingsSource(environment: environment, isRoot: isRoot)
        var isCheckOnly = false
        var index = 0
        while index < arguments.count {
            let argument = arguments[index]
            index += 1
            let name = String(argument.prefix { $0 != "=" })
            func value() -> String? {
                if name != argument { return String(argument.dropFirst(name.count + 1)) }
                guard index < arguments.count else { return nil }
                index += 1
                return arguments[index - 1]
            }
            switch name {
            case "--help" where argument == name, "-h" where argument == name: return .help
            case "--version" where argument == name: return .version
            case "--check" where argument == name: isCheckOnly = true
            case "--set":
                guard let flag = value() else { return .misused("--set needs KEY=VALUE, as in --set BATCH_SIZE=500") }
                source.flags.append(flag)
            case "--config":
                guard let path = value(), !path.isEmpty else { return .misused("--config needs a file") }
                guard source.configurationPath == nil else {
                    return .misused("--config may be given once; more files belong into its folder FILE.d")
                }
                source.configurationPath = path
            default:
                return .misused("there is no option \(quoted(name)); see logboomd --help")
            }
        }
        return .run(source, checkOnly: isCheckOnly)
    }
}
