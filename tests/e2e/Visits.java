import java.net.CookieHandler;
import java.net.CookieManager;
import java.net.URI;

/** Visits an address three times, with Java's own cookie jar, and prints the responses. */
public class Visits {
    public static void main(String[] arguments) throws Exception {
        CookieHandler.setDefault(new CookieManager());
        for (int visit = 0; visit < 3; visit++) {
            try (var body = URI.create(arguments[0]).toURL().openStream()) {
                System.out.print(new String(body.readAllBytes()) + " ");
            }
        }
    }
}
