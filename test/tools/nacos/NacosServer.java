import com.alibaba.nacos.core.code.ControllerMethodsCache;
import org.springframework.boot.ApplicationRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.ServletComponentScan;
import org.springframework.context.annotation.Bean;
import org.springframework.scheduling.annotation.EnableScheduling;

/** A Nacos server of its published modules, in one process. Its own main class is not published. */
@SpringBootApplication(scanBasePackages = "com.alibaba.nacos")
@ServletComponentScan("com.alibaba.nacos")
@EnableScheduling
public class NacosServer {

    public static void main(String[] args) {
        SpringApplication.run(NacosServer.class, args);
    }

    /** Without it the filters that find the method of a request, for access control, know of none. */
    @Bean
    ApplicationRunner controllerMethods(ControllerMethodsCache cache) {
        return arguments -> {
            cache.initClassMethod("com.alibaba.nacos.core.controller");
            cache.initClassMethod("com.alibaba.nacos.naming.controllers");
            cache.initClassMethod("com.alibaba.nacos.config.server.controller");
        };
    }
}
