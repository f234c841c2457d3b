internal import CShims
internal import Glibc
internal import LogModel
internal import Settings
internal import Telemetry

/// `logboomd`: read the settings, build the daemon, run it until a signal, exit with a code (sysexits(3)).
@main
enum Main {
    static func main() {
        Signals.block()
        // One arena for all threads: measured to save 0.3 MB idle and half of what stays after large bodies.
        logboom_limit_malloc_arenas(1)
        logboom_return_large_blocks()
        let arguments = Array(CommandLine.arguments.dropFirst())
        let command = DaemonCommand.parse(
            arguments,
            environment: SettingsSource.processEnvironment(),
            isRoot: geteuid() == 0
        )
        switch command {
        case .help:
            print(DaemonCommand.helpText, terminator: "")
        case .version:
            print("logboomd \(logboomVersion)")
        case .misused(let sentence):
            complain("logboomd: \(sentence)")
            exit(EX_USAGE)
        case .run(let source, let checkOnly):
            run(source, checkOnly: checkOnly)
        }
    }

    private static func run(_ source: SettingsSource, checkOnly: Bool) {
        switch source.load() {
        case .failure(let problems):
            complain("\(problems)")
            exit(SettingsProblems.exitCode)
        case .success(let loaded):
            if checkOnly {
                for warning in loaded.warnings { complain("\(warning)") }
                print("The configuration is valid.")
                return
            }
            let log = Log(format: format(loaded.settings.logFormat), minimum: loaded.settings.logLevel)
            for warning in loaded.warnings { log.warning("\(warning)") }
            do throws(StartError) {
                let daemon = try Daemon(loaded, source: source, log: log)
                exit(daemon.run())
            } catch {
                log.error(error.description)
                exit(error.exitCode)
            }
        }
    }

    private static func format(_ format: LogFormat) -> Log.Format {
        switch format {
        case .json: return .json
        case .journal: return .journal
        case .text: return .text(isColored: false)
        case .auto:
            if isatty(2) == 1 { return .text(isColored: getenv("NO_COLOR") == nil) }
            // systemd sets it when standard error goes to the journal (systemd.exec(5)).
            return getenv("JOURNAL_STREAM") != nil ? .journal : .text(isColored: false)
        }
    }

    private static func complain(_ text: String) {
        var line = text + "\n"
        _ = line.withUTF8 { write(2, $0.baseAddress, $0.count) }
    }
}

/// Why the daemon could not start, as a sentence with what to do about it.
struct StartError: Error, CustomStringConvertible {
    let description: String
    let exitCode: Int32
}
